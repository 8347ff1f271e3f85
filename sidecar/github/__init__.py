"""GitHub: the access token, the login that creates it, the exchange and the catalog."""
