"""`python -m unet_tf` is `unet-tf`."""

from unet_tf.cli.commands import main

main()
