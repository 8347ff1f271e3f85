"""Where a sync puts its result: the models file, a config of the user's, or a ConfigMap."""
