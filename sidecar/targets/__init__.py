"""Where a sync writes its result: the models file, a user's config, or a ConfigMap."""
