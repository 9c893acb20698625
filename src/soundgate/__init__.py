"""soundgate: reproducible audio machine-learning experiments behind exit gates."""

from soundgate.runtime.numba_cache import claim_cache

# Before anything imports librosa; held until the process ends.
_NUMBA_CACHE = claim_cache()
