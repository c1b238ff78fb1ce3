"""The next value as a linear map of the last ones: AR, VAR, ARMA, and the search for an ARIMA."""
