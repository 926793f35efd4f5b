"""Labels held against probabilities that were computed elsewhere.

Import it as `from agreement import same_labels`: pytest puts this folder on the path.
"""

import numpy as np


def same_labels(label, probabilities, apart=1e-5, share=0.99):
    """Whether labels are those of probabilities wherever two of these are further apart, as most pixels have them."""
    ordered = np.sort(probabilities, -1)
    clear = ordered[..., -1] - ordered[..., -2] > apart
    assert clear.mean() > share
    return bool((label == probabilities.argmax(-1))[clear].all())
