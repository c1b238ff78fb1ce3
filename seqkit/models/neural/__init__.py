"""Forecasters with a network between the window and the law of what comes: TDNN, RNN, LSTM, GRU, ES-RNN."""
