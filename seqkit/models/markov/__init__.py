"""Symbols that follow each other, seen (Markov chains) or hidden (HMM and its taggers)."""
