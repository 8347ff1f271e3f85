"""Makes external text safe to display; the hook, which stands alone, has the only copy."""

from sidecar.litellm_hot_reload.text import printable

__all__ = ["printable"]
