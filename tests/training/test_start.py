"""Training that starts from the weights of another net."""

import json
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest
from bundles import make_bundle
from hub_server import served, talk_to

from unet_tf import Run, evaluate, train, unet
from unet_tf.config import TrainConfig
from unet_tf.data.channels import ALL
from unet_tf.errors import InputError
from unet_tf.evaluation.verdict import verdict
from unet_tf.exporting.hub import publish
from unet_tf.model.ensemble import Member, ensemble
from unet_tf.planning.ancestors import ancestors, ancestors_from
from unet_tf.training.compile import compiled
from unet_tf.training.start import Start, read_start, renaming, said_of, with_whole_path
from unet_tf.utils.signals import Stopped

FEW = {"tile": 52, "batch_size": 1, "precision": "float32", "steps_per_epoch": 1, "epochs": 1, "optimizer": "sgd"}


def test_a_run_starts_from_another_with_its_sizes_and_a_lower_learning_rate(run, cells, tmp_path, monkeypatch):
    found = train(cells, tmp_path / "run", start_from=run, learning_rate=1e-12, **FEW)
    for setting in ("base_filters", "depth", "padding"):
        assert getattr(found.plan, setting) == getattr(run.plan, setting)
    weights = zip(found.model.trainable_weights, run.model.trainable_weights, strict=True)
    assert max(float(abs(np.array(one) - np.array(other)).max()) for one, other in weights) < 1e-9
    assert f"the net starts from all weights of {run.path}" in (found.path / Run.LOG).read_text()
    assert found.plan.start_from == str(run.path)
    monkeypatch.chdir(run.path.parent)

    def stop(logs):
        raise Stopped

    with pytest.raises(Stopped):
        begun = keras.callbacks.LambdaCallback(on_train_begin=stop)
        train(cells, tmp_path / "other", start_from=run.path.name, callbacks=[begun], **FEW)
    other = Run(tmp_path / "other").plan
    assert (other.learning_rate, other.start_from) == (3e-4, str(run.path.resolve()))  # found from elsewhere too


def test_a_net_behind_a_link_keeps_the_name_that_says_what_it_is(tmp_path, monkeypatch):
    (tmp_path / "blobs").mkdir()
    unet((None, None, 1), base_filters=2, depth=1).save(tmp_path / "net.keras")
    blob = (tmp_path / "net.keras").rename(tmp_path / "blobs" / "4f7a")  # as caches of a hub store it
    (tmp_path / "net.keras").symlink_to(blob)
    monkeypatch.chdir(tmp_path)
    path = with_whole_path(TrainConfig(start_from="net.keras")).start_from
    assert path == str(tmp_path / "net.keras")
    assert read_start(path).model.get_layer("logits").filters == 2


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # huggingface_hub's own LFS client
def test_a_repository_of_the_hub_is_taken_at_the_revision_that_it_has_now(tmp_path, monkeypatch):
    bundle = make_bundle(tmp_path / "cells")
    with served() as hub:
        talk_to(monkeypatch, hub.url, tmp_path / "home")
        address = publish(bundle, "anna/cells").address
        config = with_whole_path(TrainConfig(start_from="hf://anna/cells"))
        assert config.start_from == address
        hub.repositories["anna/cells"].commit({})  # a later one, of nothing
        assert with_whole_path(config) == config
        found, expected = read_start(address), read_start(bundle)
        with pytest.raises(InputError, match="holds neither a bundle"):
            with_whole_path(TrainConfig(start_from="hf://anna/cells"))
    assert (str(found.path), found.classes) == (address, expected.classes)
    for one, other in zip(found.model.weights, expected.model.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert ancestors_from(address, ALL).unknown == (address,)


def test_layers_that_fit_are_taken_and_the_others_named(run, tmp_path):
    wide = unet((None, None, 4), 3, base_filters=run.plan.base_filters, depth=run.plan.depth, batch_norm=True)
    wide.save(tmp_path / "wide.keras")
    net = compiled(run.plan, 3, [0.5, 0.5])
    logits = net.get_layer("logits").get_weights()
    start = read_start(tmp_path / "wide.keras")
    left = start.give(net, ("a", "b"))
    width = run.plan.base_filters
    assert left == [
        f"down0_conv1 ((3, 3, 4, {width}) there, (3, 3, 3, {width}) here)",
        f"logits ((1, 1, {width}, 3), (3,) there, (1, 1, {width}, 2), (2,) here)",
    ]
    np.testing.assert_array_equal(
        net.get_layer("up0_conv2").get_weights()[0], wide.get_layer("up0_conv2").get_weights()[0]
    )
    np.testing.assert_array_equal(net.get_layer("logits").get_weights()[0], logits[0])
    assert said_of(left, start, net) == (
        f"the net starts from the weights of {tmp_path / 'wide.keras'}, but for {left[0]}, {left[1]}, which start anew"
    )


@pytest.mark.parametrize(("there", "here"), [(1, 3), (3, 1), (1, 5)])
def test_a_grey_picture_gives_what_it_gave_whatever_the_channels(run, there, here):
    sizes = {"base_filters": run.plan.base_filters, "depth": run.plan.depth, "batch_norm": True}
    old, new = (unet((None, None, channels), 2, **sizes) for channels in (there, here))
    start = Start(run.path, old, run.classes)
    assert start.give(new, run.classes) == []
    assert said_of([], start, new).endswith(f"; {there} channel{'s' * (there > 1)} there, {here} here")
    image = np.random.default_rng(0).normal(size=(1, 100, 100, 1)).astype(np.float32)
    before, after = (net(np.repeat(image, net.input_shape[-1], -1)) for net in (old, new))
    np.testing.assert_allclose(after, before, atol=1e-4)


def test_logits_of_other_classes_start_anew(run):
    net = compiled(run.plan, run.normalisation.channels, [0.5, 0.5])
    assert read_start(run.path).give(net, run.classes) == []
    assert read_start(run.path).give(net, ("a", "b")) == [f"logits (classes {', '.join(run.classes)} there, a, b here)"]


def test_a_file_of_a_run_or_a_bundle_has_its_classes(run, tmp_path):
    for name in (Run.BEST, Run.LAST):
        assert read_start(run.path / name).classes == run.classes
    assert read_start(make_bundle(tmp_path / "bundle") / "model.keras").classes == ("background", "cell")
    shutil.copy(run.path / Run.BEST, tmp_path / Run.BEST)
    assert read_start(tmp_path / Run.BEST).classes is None


def test_logits_are_those_of_the_class_of_their_name(run):
    net = compiled(run.plan, run.normalisation.channels, [0.5, 0.5])
    kernel, bias = run.model.get_layer("logits").get_weights()
    start = read_start(run.path)
    for classes in (run.classes, run.classes[::-1]):
        assert start.give(net, classes) == [] and renaming(start, classes) == ""
        order = [run.classes.index(name) for name in classes]
        for found, wanted in zip(net.get_layer("logits").get_weights(), (kernel, bias), strict=True):
            np.testing.assert_array_equal(found, wanted[..., order])
    wide = replace(start, classes=("sky", *run.classes))  # of which the data may lack one
    assert wide.knows(run.classes) and not start.knows(("a", run.classes[0]))
    assert renaming(start, ("background", "cell")) == (
        f"Classes of one name are one class: {run.path} has background, foreground, the data has background, cell, and "
        "the logits start anew. Where they mean the same, call them so: --classes background,foreground (in the order "
        "of their ids), or in label_colors.txt."
    )
    assert renaming(replace(start, classes=None), ("a", "b")) == ""
    assert renaming(start, ("a", "b", "c")).endswith("the data has a, b, c, and the logits start anew.")
    rims = replace(start, classes=("background", "cell", "border"))
    assert "--classes background,cell (in the order" in renaming(rims, ("background", "nucleus", "border"))
    spaced = replace(start, classes=("background", "cell wall"))
    assert "--classes 'background,cell wall' (in the order" in renaming(spaced, ("a", "b"))


def test_pictures_that_the_net_before_learnt_from_are_left_out_of_the_scores_or_said(run, cells, tmp_path, caplog):
    data = tmp_path / "data"
    shutil.copytree(cells / "train", data / "val")
    shutil.copytree(cells / "val", data / "train")
    found = train(data, tmp_path / "run", start_from=str(run.path), **FEW)
    assert ancestors(found).files == run.files("train")
    assert "was trained on 4 of the 4 val files" in caplog.text
    stored = json.loads((found.path / Run.EVALUATION).read_text())
    assert stored["files"] == f"all val files of {data}, on all of which the net before it was trained"
    assert (stored["learnt"], len(stored["per_file_mean_iou"])) == (4, 4)
    assert verdict(stored).endswith("images that it was trained on.")
    result = evaluate(found, cells, split=None)
    assert result.files.startswith(f"2 files of {cells / 'test'}") and "without" not in result.files
    shutil.copytree(cells / "test", data / "test")
    shutil.copy(cells / "train" / "images" / "cells_000.png", data / "test" / "images" / "known.png")
    shutil.copy(cells / "train" / "masks" / "cells_000.png", data / "test" / "masks" / "known.png")
    shutil.copy(cells / "val" / "images" / "cells_000.png", data / "test" / "images" / "own.png")
    shutil.copy(cells / "val" / "masks" / "cells_000.png", data / "test" / "masks" / "own.png")
    words = evaluate(found, data).files
    left_out = "1 that the run was trained on and 1 that the net before it was trained on"
    assert words == f"2 files of {data / 'test'}, without {left_out}"


def test_sizes_that_are_said_stay_but_for_a_width_with_which_no_kernel_fits(run):
    found = read_start(run.path).sizes_for(TrainConfig(depth=1, base_filters=run.plan.base_filters))
    assert (found.depth, found.base_filters) == (1, run.plan.base_filters)
    with pytest.raises(InputError, match="as wide as .* base filters; received 3. Leave --base-filters out"):
        read_start(run.path).sizes_for(TrainConfig(base_filters=3))


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (False, "has no batch normalisation; received batch_norm = True. Say --no-batch-norm, or leave --from out"),
        (True, "has batch normalisation; received batch_norm = False. Say --batch-norm, or leave --from out"),
    ],
)
def test_batch_normalisation_is_in_both_nets_or_in_none(tmp_path, there, words):
    unet((None, None, 1), base_filters=2, depth=1, batch_norm=there).save(tmp_path / "net.keras")
    start = read_start(tmp_path / "net.keras")
    assert start.sizes_for(TrainConfig(batch_norm=there)).batch_norm == there
    with pytest.raises(InputError, match=words):
        start.sizes_for(TrainConfig(batch_norm=not there))


def test_what_differs_is_said_where_kernels_are_alike():
    normalised, plain = (unet((None, None, 1), base_filters=2, depth=1, batch_norm=norm) for norm in (True, False))
    left = Start("old", plain, None).give(normalised, ("a", "b"))
    assert left[:2] == [
        "down0_conv1 ((3, 3, 1, 2), (2,) there, (3, 3, 1, 2) here)",
        "down0_conv1_norm (nothing there, (2,), (2,), (2,), (2,) here)",
    ]


@pytest.mark.parametrize(("classes", "said", "border"), [(2, None, 0), (2, 3, 3), (3, None, None)])
def test_a_net_of_two_classes_has_no_rim_to_go_on_from(tmp_path, classes, said, border):
    unet((None, None, 1), classes, base_filters=2, depth=1, batch_norm=True).save(tmp_path / "net.keras")
    assert read_start(tmp_path / "net.keras").sizes_for(TrainConfig(border_class=said)).border_class == border


@pytest.mark.parametrize("name", ["none", "none.keras", "damaged.keras"])
def test_what_is_no_net_is_refused(cells, tmp_path, name):
    (tmp_path / "damaged.keras").write_bytes(b"PK damaged")
    with pytest.raises(InputError, match=f"{name} is (no run|not a Keras model)|There is no model .*{name}"):
        train(cells, tmp_path / "run", start_from=str(tmp_path / name), **FEW)
    assert not (tmp_path / "run").exists()


def test_a_model_of_another_kind_is_refused(tmp_path):
    keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3)]).save(tmp_path / "other.keras")
    with pytest.raises(InputError, match=r"The model must be one that unet_tf\.unet built"):
        read_start(tmp_path / "other.keras")


def test_the_mean_of_several_nets_is_refused(tmp_path):
    nets = [Member(f"fold{number}", unet(base_filters=2, depth=1), (1.0,), (0.0,)) for number in (1, 2)]
    ensemble(nets).save(tmp_path / "mean.keras")
    with pytest.raises(InputError, match=r"mean\.keras is the mean of 2. Start from one of the runs"):
        read_start(tmp_path / "mean.keras")


def test_a_net_inside_another_model_is_not_called_a_mean(tmp_path):
    keras.Sequential([keras.Input((None, None, 1)), unet(base_filters=2, depth=1)]).save(tmp_path / "around.keras")
    with pytest.raises(InputError, match=r"in .*around\.keras a net lies inside another model. Save the net by itself"):
        read_start(tmp_path / "around.keras")


def test_the_net_of_another_program_is_refused_though_it_is_a_u_net(tmp_path):
    own = unet(base_filters=2, depth=1)
    keras.models.clone_model(
        own, clone_function=lambda layer: type(layer).from_config(layer.get_config() | {"name": f"their_{layer.name}"})
    ).save(tmp_path / "theirs.keras")
    with pytest.raises(InputError, match=r"theirs\.keras has no layer down0_conv1, logits. Start from one of unet_tf"):
        read_start(tmp_path / "theirs.keras")
