"""Packages of the BioImage Model Zoo as bioimageio.core runs them: FOLDER NAME...

FOLDER/NAME.zip is tested where NAME is given, and each FOLDER/NAME_*.npy predicted by it. Pictures whose name ends in
"blocks" are cut into blocks; of each comes PICTURE.WEIGHTS.result.npy.
"""

import json
import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"
os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0"  # compiling takes longer than computing

import numpy as np
from bioimageio.core import create_prediction_pipeline, test_model
from bioimageio.core.digest_spec import create_sample_for_model
from bioimageio.spec import load_model_description
from loguru import logger

logger.remove()
folder, said = Path(sys.argv[1]), {}
for package in sorted(folder.glob("*.zip")):
    if package.stem in sys.argv[2:]:
        done = test_model(package)
        errors = [error.msg for detail in done.details for error in detail.errors]
        said[package.stem] = {"status": done.status, "errors": errors, "tests": [one.name for one in done.details]}
    description = load_model_description(package)
    for weights in ("keras_v3", "onnx"):
        with create_prediction_pipeline(description, weight_format=weights) as net:
            for picture in sorted(folder.glob(f"{package.stem}_*.npy")):
                if picture.stem.endswith("result"):
                    continue
                sample = create_sample_for_model(description, inputs=picture, sample_id=picture.stem)
                blocks = picture.stem.endswith("blocks")
                predict = net.predict_sample_with_blocking if blocks else net.predict_sample_without_blocking
                found = predict(sample, ns=3) if blocks else predict(sample)
                np.save(folder / f"{picture.stem}.{weights}.result.npy", found.members["probabilities"].data.to_numpy())
(folder / "said.json").write_text(json.dumps(said))
