"""What a label map is: (H, W) uint8, one class id a pixel, `VOID` where nobody knows."""

VOID = 255
"""Label id of pixels that count nowhere: not in the loss, not in a score."""
