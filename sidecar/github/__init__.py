"""GitHub: the access token, the login that gives it, the exchange and the catalog."""
