"""Limits of all requests together, by events: a signature that waits for the test."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress

import grpc
import httpx
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from unet_tf.serving.calls import Asked, Calls
from unet_tf.serving.errors import ServingError
from unet_tf.serving.grpc_service import GrpcServer
from unet_tf.serving.http_app import Bodies, make_app
from unet_tf.serving.limits import Limits
from unet_tf.serving.models import Status
from unet_tf.serving.transport import RequestError

PREDICT = "/v1/models/unet:predict"


class Waiting:
    """A model of one version whose only signature, of one uint8 (?), waits until it may go on."""

    def __init__(self):
        import tensorflow as tf

        from unet_tf.serving.versions import Tensor

        self.name, self.ready, self.labels = "unet", True, {}
        self.begun, self.may_go = threading.Semaphore(0), threading.Event()
        self.inputs = {"x": Tensor(tf.uint8, (None,), "x:0")}
        self.outputs = {"y": Tensor(tf.uint8, (None,), "y:0")}

    def find(self, version=None, label=None):
        return 1, self

    def signature(self, name):
        return self

    def check(self, inputs):
        pass

    def __call__(self, inputs):
        self.begun.release()
        self.may_go.wait()
        return {"y": inputs["x"]}


class Models:
    """It alone."""

    def __init__(self, model):
        self.model, self.ready = model, True

    def __iter__(self):
        return iter(())

    def get(self, name):
        return self.model

    def statuses(self, name, version=None, label=None):
        return [Status(1, "AVAILABLE")]


@pytest.fixture
def waiting():
    model = Waiting()
    yield model
    model.may_go.set()


def run(coroutine):
    """Run it in a thread: a browser of other tests may have a loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, coroutine).result()


async def begun(model, count=1):
    for _ in range(count):
        await asyncio.to_thread(model.begun.acquire)


def app_of(model, **limits):
    calls = Calls(Models(model), Limits(**limits))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(make_app(calls)), base_url="http://test")
    return calls, client


def body(*values):
    return {"instances": list(values)}


async def until(condition):
    while not condition():
        await asyncio.sleep(0.005)


def test_no_more_run_or_wait_than_may_and_all_of_these_are_answered(waiting):
    async def main():
        calls, client = app_of(waiting, running=2, waiting=3)
        tasks = [asyncio.create_task(client.post(PREDICT, json=body(number))) for number in range(5)]
        await begun(waiting, 2)
        await until(lambda: calls._waiting == 3)
        refused = await client.post(PREDICT, json=body(9))
        assert refused.status_code == 429 and "3 requests wait already" in refused.json()["error"]
        assert not calls.idle
        waiting.may_go.set()
        answers = await asyncio.gather(*tasks)
        assert [one.json() for one in answers] == [{"predictions": [number]} for number in range(5)]
        await until(lambda: calls.idle)
        assert calls._held == 0

    run(main())


def test_where_none_may_wait_what_can_be_worked_on_at_once_is_answered(waiting):
    async def main():
        calls, client = app_of(waiting, running=1, waiting=0)
        first = asyncio.create_task(client.post(PREDICT, json=body(1)))
        await begun(waiting)
        refused = await client.post(PREDICT, json=body(2))
        assert refused.status_code == 429 and "0 requests wait already" in refused.json()["error"]
        waiting.may_go.set()
        assert (await first).json() == {"predictions": [1]}
        await until(lambda: calls.idle)
        assert (await client.post(PREDICT, json=body(3))).json() == {"predictions": [3]}

    run(main())


def test_who_is_too_late_is_told_so_and_the_turn_comes_back(waiting):
    async def main():
        calls, client = app_of(waiting, running=1, seconds=0.2)
        first, second = await asyncio.gather(client.post(PREDICT, json=body(1)), client.post(PREDICT, json=body(2)))
        assert (first.status_code, second.status_code) == (504, 504)  # one ran, one waited
        assert "No answer within 0.2 s" in first.json()["error"]
        assert calls._running == 1
        waiting.may_go.set()
        await until(lambda: calls.idle)
        calls.limits = Limits(running=1)
        assert (await client.post(PREDICT, json=body(3))).json() == {"predictions": [3]}

    run(main())


def test_an_answer_that_no_message_holds_is_refused_before_it_is_computed(waiting):
    import tensorflow as tf

    from unet_tf.serving.versions import Tensor

    calls, image = Calls(Models(waiting), Limits()), np.broadcast_to(np.uint8(0), (1, 1 << 13, 1 << 13, 1))
    waiting.may_go.set()
    for classes, size in ((8, "2,147,483,648"), (9, "2,415,919,104")):
        waiting.outputs["y"] = Tensor(tf.float32, (None, None, None, classes), "y:0")
        with pytest.raises(ServingError, match=f"may have 2,147,418,112 bytes; this one would have {size}") as caught:
            calls.predict(Asked("unet"), lambda _: {"x": image})
        assert caught.value.status == 413
        assert RequestError(caught.value.code, str(caught.value)).too_large  # and so the client cuts it
    assert not waiting.begun.acquire(blocking=False)
    for dtype, shape in ((tf.float32, (None, None, None, 7)), (tf.uint8, (None, None, None)), (tf.string, (None,))):
        waiting.outputs["y"] = Tensor(dtype, shape, "y:0")
        assert calls.predict(Asked("unet"), lambda _: {"x": image}).outputs["y"] is image


def test_a_body_that_is_too_large_or_too_slow_is_refused_and_not_held(waiting):
    async def main():
        calls, client = app_of(waiting, body=1000, reading=0.1)

        async def parts(*given, end=True):
            for part in given:
                yield part
            if not end:
                await asyncio.Event().wait()

        assert (await client.post(PREDICT, content=bytes(1001))).status_code == 413
        assert (await client.post(PREDICT, content=parts(bytes(600), bytes(600)))).status_code == 413
        slow = await client.post(PREDICT, content=parts(b"{", end=False))
        assert slow.status_code == 408 and "within 0.1 s" in slow.json()["error"]
        assert calls._held == 0

    run(main())


def test_all_requests_together_hold_no_more_bytes_than_may(waiting):
    async def main():
        calls, client = app_of(waiting, held=100, running=4)
        large = b'{"instances": [1]' + b" " * 60 + b"}"
        first = asyncio.create_task(client.post(PREDICT, content=large))
        await begun(waiting)
        assert calls._held == len(large)
        refused = await client.post(PREDICT, content=large)
        assert refused.status_code == 429 and "may have 100 bytes" in refused.json()["error"]
        waiting.may_go.set()
        assert (await first).status_code == 200
        assert calls._held == 0

    run(main())


def test_a_body_is_held_once_and_no_longer_in_its_parts_while_it_is_worked_on(waiting):
    class Part(bytes):
        def __del__(self):
            gone.append(bytes(self))

    gone, seen = [], []

    async def main():
        calls = Calls(Models(waiting), Limits())
        left = [Part(b"abc"), Part(b"defg")]

        async def receive():
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

        async def app(scope, receive, send):
            seen.append((sorted(gone), calls._held, (await receive())["body"]))

        scope = {"type": "http", "headers": [], "http_version": "1.1", "raw_path": b"/", "query_string": b""}
        await Bodies(app, calls)(scope, receive, None)
        assert calls._held == 0

    run(main())
    assert seen == [([b"abc", b"defg"], 7, b"abcdefg")]


def test_a_server_that_stops_refuses_what_is_new_and_finishes_what_runs(waiting):
    async def main():
        calls, client = app_of(waiting)
        assert (await client.get("/v2/health/ready")).status_code == 200
        first = asyncio.create_task(client.post(PREDICT, json=body(1)))
        await begun(waiting)
        calls.draining = True
        assert (await client.get("/v2/health/ready")).status_code == 503
        second = asyncio.create_task(client.post(PREDICT, json=body(2)))
        await begun(waiting) if calls.limits.running > 1 else await until(lambda: calls._waiting == 1)
        calls.stopping = True
        refused = await client.post(PREDICT, json=body(3))
        assert refused.status_code == 503 and "stopping" in refused.json()["error"]
        waiting.may_go.set()
        assert [(await one).status_code for one in (first, second)] == [200, 200]

    run(main())


@asynccontextmanager
async def grpc_of(model, **limits):
    """A server of gRPC, its calls and a channel to it."""
    calls = Calls(Models(model), Limits(**limits))
    server = GrpcServer(calls, "127.0.0.1", 0)
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            yield server, calls, channel
    finally:
        model.may_go.set()
        await server.stop(0)


def predict_request(value=1):
    import tensorflow as tf

    found = predict_pb2.PredictRequest()
    found.model_spec.name = "unet"
    found.inputs["x"].CopyFrom(tf.make_tensor_proto(np.array([value], np.uint8)))
    return found


def test_grpc_has_the_same_limits_and_its_callers_deadline(waiting):
    async def main():
        async with grpc_of(waiting, running=1, waiting=1) as (_, calls, channel):
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            first = stub.Predict(predict_request(1))
            await begun(waiting)
            second = stub.Predict(predict_request(2))
            await until(lambda: calls._waiting == 1)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Predict(predict_request(3))
            assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            second.cancel()
            await until(lambda: calls._waiting == 0)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Predict(predict_request(4), timeout=0.2)
            assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            await until(lambda: calls._waiting == 0)
            waiting.may_go.set()
            assert list((await first).outputs["y"].tensor_content or (await first).outputs["y"].int_val) == [1]
            await until(lambda: calls.idle)
            assert calls._held == 0

    run(main())


def test_status_and_metadata_over_grpc_wait_for_no_turn(waiting):
    waiting.signatures = {}

    async def main():
        async with grpc_of(waiting, running=1, waiting=1) as (_, _, channel):
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            first = stub.Predict(predict_request())
            await begun(waiting)
            asked = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
            asked.model_spec.name = "unet"
            assert (await stub.GetModelMetadata(asked, timeout=30)).model_spec.version.value == 1
            asked = get_model_status_pb2.GetModelStatusRequest()
            asked.model_spec.name = "unet"
            status = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus
            assert [one.version for one in (await status(asked, timeout=30)).model_version_status] == [1]
            waiting.may_go.set()
            await first

    run(main())


def test_no_more_calls_of_grpc_are_open_than_may(waiting, monkeypatch):
    monkeypatch.setattr("unet_tf.serving.grpc_service.OTHERS", 1)

    async def main():
        async with grpc_of(waiting, running=1, waiting=1) as (_, calls, channel):
            health = health_pb2_grpc.HealthStub(channel)
            watches = [health.Watch(health_pb2.HealthCheckRequest()) for _ in range(3)]
            for one in watches:
                await one.read()
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            for _ in range(5):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await stub.Predict(predict_request(), timeout=30)
                assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert calls.idle
            watches[0].cancel()
            waiting.may_go.set()
            while True:  # until the server has seen that one goes
                with suppress(grpc.aio.AioRpcError):
                    assert (await stub.Predict(predict_request(), timeout=30)).model_spec.version.value == 1
                    break

    run(main())


def test_who_watches_the_health_does_not_hold_up_the_end(waiting):
    async def main():
        async with grpc_of(waiting) as (server, _, channel):
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            server.drain()
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            async with asyncio.timeout(60):
                await server.stop(1000)
            assert await watch.read() is grpc.aio.EOF

    run(main())


def test_a_limit_of_bytes_that_grpc_cannot_count_is_its_largest(waiting):
    async def main():
        async with grpc_of(waiting, body=1 << 40, held=1 << 40) as (_, _, channel):
            waiting.may_go.set()
            found = await prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(predict_request())
            assert found.model_spec.version.value == 1

    run(main())


@pytest.mark.parametrize("count, fails", [(100, False), (101, True)])
def test_held_bytes_are_counted_to_the_byte(count, fails):
    async def main():
        calls = Calls(Models(None), Limits(held=100))
        if fails:
            with pytest.raises(ServingError, match="may have 100 bytes"):
                calls.hold(count)
            assert calls._held == 0
        else:
            calls.hold(count)
            calls.hold(-count)
            assert calls._held == 0

    run(main())
