"""Big Five and values as tendencies of the written words."""
