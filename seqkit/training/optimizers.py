"""Rules that turn gradients into steps, one kernel for all parameters where PyTorch has one.

The objects here are hyper-parameters: they are printed, compared, saved and searched over, and become a `Stepper`,
which holds tensors, when training begins. A `torch.optim` object would do the same; but the first one in a process
loads torch's compiler, which takes longer than many a small network needs to be trained.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from seqkit.persistence import Record

if TYPE_CHECKING:
    from torch import Tensor


class Optimizer(Record, ABC):
    """A rule for steps; `lr` is what is used where no learning rate is given.

    A rule of your own derives from this class and implements `build`; it may return any `torch.optim` object.
    """

    lr: ClassVar[float] = 1e-3
    full_batch: ClassVar[bool] = False

    @abstractmethod
    def build(self, groups: list[dict[str, Any]], lr: float) -> Any:
        """What takes the steps, for groups of parameters, each a dict with "params" and "weight_decay"."""


class Rule(Optimizer):
    """A rule that remembers tensors of the parameters' shapes (`slots`) and updates all parameters at once."""

    @property
    @abstractmethod
    def slots(self) -> tuple[str, ...]:
        """Names of what is remembered of every parameter; "steps" is a count."""

    @abstractmethod
    def update(
        self,
        weights: list[Tensor],
        gradients: list[Tensor],
        slots: dict[str, list[Tensor]],
        lr: float,
        decay: float,
    ) -> None:
        """One step in place."""

    def build(self, groups: list[dict[str, Any]], lr: float) -> Stepper:
        return Stepper(self, groups, lr)


class Stepper:
    """A rule at work; it has what `torch.optim.Optimizer` has of `param_groups`, `step` and `state_dict`."""

    def __init__(self, rule: Rule, groups: list[dict[str, Any]], lr: float):
        import torch

        def start(slot: str, p: Tensor) -> Tensor:
            return torch.zeros((), device=p.device) if slot == "steps" else torch.zeros_like(p)

        self.rule = rule
        self.param_groups = [group | {"lr": lr} for group in groups]
        self.slots = [
            {slot: [start(slot, p.detach()) for p in group["params"]] for slot in rule.slots}
            for group in groups
        ]

    def step(self) -> None:
        import torch

        with torch.no_grad():
            for group, slots in zip(self.param_groups, self.slots, strict=True):
                weights = group["params"]
                gradients = [p.grad for p in weights]
                if any(
                    g is None for g in gradients
                ):  # these took no part: they and their slots stay
                    used = [i for i, g in enumerate(gradients) if g is not None]
                    weights, gradients = [weights[i] for i in used], [gradients[i] for i in used]
                    slots = {slot: [values[i] for i in used] for slot, values in slots.items()}
                if weights:
                    self.rule.update(weights, gradients, slots, group["lr"], group["weight_decay"])

    def state_dict(self) -> dict[str, Any]:
        return {"state": self.slots, "param_groups": []}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for mine, saved in zip(self.slots, state["state"], strict=True):
            for slot, values in mine.items():
                for old, new in zip(values, saved[slot], strict=True):
                    old.copy_(new)


@dataclass(eq=False)
class SGD(Rule):
    """Stochastic gradient descent, with momentum m where that is not zero: v <- m v + g, w <- w - lr v.

    With ``nesterov`` the step is lr (g + m v). Source: Robbins, Monro (1951); Polyak (1964); Sutskever et al. (2013).

    >>> SGD(momentum=0.9)
    SGD(momentum=0.9, nesterov=False)
    """

    momentum: float = 0.0
    nesterov: bool = False
    lr: ClassVar[float] = 1e-2

    @property
    def slots(self) -> tuple[str, ...]:
        return ("velocity",) if self.momentum else ()

    def update(
        self,
        weights: list[Tensor],
        gradients: list[Tensor],
        slots: dict[str, list[Tensor]],
        lr: float,
        decay: float,
    ) -> None:
        import torch

        torch._fused_sgd_(
            weights, gradients, slots.get("velocity", []), lr=lr, weight_decay=decay, momentum=self.momentum,
            nesterov=self.nesterov, dampening=0.0, maximize=False, is_first_step=False,
        )  # fmt: skip


@dataclass(eq=False)
class RMSProp(Rule):
    """s <- a s + (1 - a) g^2, v <- m v + g / (sqrt(s) + eps), w <- w - lr v.

    Source: Tieleman, Hinton (2012), Neural networks for machine learning, lecture 6.5.

    >>> RMSProp().smoothing
    0.99
    """

    smoothing: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    slots: ClassVar[tuple[str, ...]] = ("square", "velocity")

    def update(
        self,
        weights: list[Tensor],
        gradients: list[Tensor],
        slots: dict[str, list[Tensor]],
        lr: float,
        decay: float,
    ) -> None:
        import torch

        square, velocity = slots["square"], slots["velocity"]
        if decay:
            gradients = list(torch._foreach_add(gradients, weights, alpha=decay))
        torch._foreach_mul_(square, self.smoothing)
        torch._foreach_addcmul_(square, gradients, gradients, 1 - self.smoothing)
        size = torch._foreach_sqrt(square)
        torch._foreach_add_(size, self.eps)
        torch._foreach_mul_(velocity, self.momentum)
        torch._foreach_addcdiv_(velocity, gradients, size)
        torch._foreach_add_(weights, velocity, alpha=-lr)


@dataclass(eq=False)
class Adam(Rule):
    """m <- b1 m + (1 - b1) g, s <- b2 s + (1 - b2) g^2, w <- w - lr m^ / (sqrt(s^) + eps), ^ without initial bias.

    Weight decay is added to the gradient. Source: Kingma, Ba (2015), ICLR, algorithm 1.

    >>> Adam(betas=(0.9, 0.99))
    Adam(betas=(0.9, 0.99), eps=1e-08)
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    slots: ClassVar[tuple[str, ...]] = ("mean", "square", "steps")
    kernel: ClassVar[str] = "_fused_adam_"

    def update(
        self,
        weights: list[Tensor],
        gradients: list[Tensor],
        slots: dict[str, list[Tensor]],
        lr: float,
        decay: float,
    ) -> None:
        import torch

        torch._foreach_add_(slots["steps"], 1)
        getattr(torch, self.kernel)(
            weights, gradients, slots["mean"], slots["square"], [], slots["steps"], lr=lr, beta1=self.betas[0],
            beta2=self.betas[1], eps=self.eps, weight_decay=decay, amsgrad=False, maximize=False,
        )  # fmt: skip


@dataclass(eq=False)
class AdamW(Adam):
    """Adam with weight decay apart from the gradient: w <- w - lr (decay w + m^ / (sqrt(s^) + eps)).

    Source: Loshchilov, Hutter (2019), ICLR, algorithm 2.

    >>> AdamW()
    AdamW(betas=(0.9, 0.999), eps=1e-08)
    """

    kernel: ClassVar[str] = "_fused_adamw_"


@dataclass(eq=False)
class LBFGS(Optimizer):
    """Limited-memory BFGS with a line search (strong Wolfe conditions), on all examples at once.

    For small problems that are to be solved to the last digit, in float64. One step of training is up to
    ``iterations`` iterations; training ends by itself ("converged") when no gradient is above ``tolerance``.
    Weight decay adds decay |w|^2 / 2 to the mean loss.

    Parameters
    ----------
    history : pairs of differences that stand for the inverse Hessian.
    iterations : most iterations within one step.
    tolerance : largest absolute element of the gradient at a solution.

    Source: Nocedal, Wright (2006), algorithms 7.5, 3.5 and 3.6.

    >>> LBFGS(history=20).full_batch
    True
    """

    history: int = 10
    iterations: int = 20
    tolerance: float = 1e-9
    lr: ClassVar[float] = 1.0
    full_batch: ClassVar[bool] = True

    def build(self, groups: list[dict[str, Any]], lr: float) -> Any:
        import torch

        return torch.optim.LBFGS(
            [p for group in groups for p in group["params"]],  # one group is all it takes
            lr=lr,
            max_iter=self.iterations,
            tolerance_grad=self.tolerance,
            tolerance_change=1e-15,
            history_size=self.history,
            line_search_fn="strong_wolfe",
        )


OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": SGD(),
    "momentum": SGD(momentum=0.9),
    "rmsprop": RMSProp(),
    "adam": Adam(),
    "adamw": AdamW(),
    "lbfgs": LBFGS(),
}


def as_optimizer(given: Any) -> Optimizer:
    """The optimizer that a name or an object stands for.

    Raises ValueError for an unknown name, TypeError for what is no optimizer.

    >>> as_optimizer("momentum")
    SGD(momentum=0.9, nesterov=False)
    """
    if isinstance(given, Optimizer):
        return given
    if isinstance(given, str):
        if given in OPTIMIZERS:
            return OPTIMIZERS[given]
        raise ValueError(f"no optimizer is called {given!r}; there are {', '.join(OPTIMIZERS)}")
    raise TypeError(
        f"optimizer must be a name ({', '.join(OPTIMIZERS)}) or an object such as training.AdamW(), got {given!r}"
    )


def parameter_groups(task: Any, weight_decay: float) -> list[dict[str, Any]]:
    """The parameters that are learnt, parted into those that decay and those that do not.

    Weights (matrices, kernels) decay. Biases, scales of normalisation and initial states, which have fewer than two
    dimensions, do not: pulling them to zero would change what the network can say at all, not how smoothly.
    """
    learnt = [p for p in task.parameters() if p.requires_grad]
    if not learnt:
        raise ValueError(
            f"this {type(task).__name__} has no parameter that requires a gradient; there is nothing to train"
        )
    groups = [
        {"params": [p for p in learnt if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in learnt if p.ndim < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def clip_(gradients: list[Tensor], limit: float) -> Tensor:
    """Scale all gradients by min(1, limit / |g|), |g| the norm of all together, and return |g| as it was.

    Nothing is read back from the device. Source: Pascanu, Mikolov, Bengio (2013), ICML, algorithm 1.

    >>> import torch
    >>> g = [torch.tensor([3.0]), torch.tensor([[4.0]])]
    >>> clip_(g, 1.0), g[1]
    (tensor(5.), tensor([[0.8000]]))
    """
    import torch

    norm = gradient_norm(gradients)
    torch._foreach_mul_(gradients, (limit / (norm + 1e-6)).clamp_(max=1.0))
    return norm


def gradient_norm(gradients: list[Tensor]) -> Tensor:
    """The Euclidean norm of all gradients together."""
    import torch

    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
