from unet_tf.serving.client import Client as Client
