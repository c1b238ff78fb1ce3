"""What networks read out of sequences: tags, classes, numbers, continuations, other sequences."""
