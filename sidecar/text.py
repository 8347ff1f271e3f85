"""Makes external text safe to display; the hook, which stands alone, has the only copy."""

from sidecar.litellm_hot_reload.text import printable, redacted

__all__ = ["printable", "redacted"]
