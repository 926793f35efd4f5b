"""Worker of engines.py: one engine of prediction with a net of random weights.

Usage: python engines_worker.py DATA BASE_FILTERS PRECISION ENGINE, then lines as in step_worker.py. DATA holds images.
"""

import logging
import sys
import time
from pathlib import Path

import keras
import numpy as np
from predict_worker import reset_peak, size_of_process
from step_worker import CLASSES, serve

import unet_tf
from unet_tf.config import PRECISIONS


def main() -> None:
    data, base, precision, engine = sys.argv[1:]
    logging.disable()
    keras.config.set_dtype_policy(PRECISIONS[precision])
    keras.utils.set_random_seed(0)
    model = unet_tf.unet((None, None, 1), CLASSES, int(base), padding="same", batch_norm=True)
    predictor = unet_tf.Predictor(model, engine=engine)

    def predict(side: str) -> str:
        """Seconds of the clock, seconds of the processor's cores, peak bytes above what was there, bytes foreseen."""
        image = np.load(Path(data, f"image-{side}.npy"))
        reset_peak()
        before, start, used = size_of_process("VmRSS"), time.perf_counter(), time.process_time()
        predictor.predict(image)
        seconds = time.perf_counter() - start, time.process_time() - used
        tile = predictor.grid((int(side), int(side))).tile
        foreseen = predictor.network.memory_needed(tile[0] * tile[1])
        return " ".join(map(str, (*seconds, size_of_process("VmHWM") - before, foreseen)))

    def keep(side: str) -> str:
        """Write the probabilities of an image."""
        file = Path(data, f"{base}-{precision}-{engine}.npy")
        np.save(file, predictor.probabilities(np.load(Path(data, f"image-{side}.npy"))))
        return str(file)

    def name(_: str) -> str:
        """Engine and type that it computes in."""
        return predictor.network.runtime.name.replace(" ", "-")

    serve(model.count_params(), {"predict": predict, "keep": keep, "name": name})


if __name__ == "__main__":
    main()
