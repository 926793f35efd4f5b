"""`python -m unet_tf` is `unet-tf`."""

from unet_tf.cli import main

main()
