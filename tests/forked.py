"""Processes of Python that have TensorFlow already: forked from one that has imported it and done nothing else.

To import TensorFlow takes a process longer than all that a test wants of it. Where a test is of how a process begins,
it starts one by itself (`subprocess`).
"""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path

SERVER = """
import gc, json, os, socket, sys
from contextlib import suppress
import keras, tensorflow, unet_tf
import unet_tf.evaluation.evaluate, unet_tf.prediction.files, unet_tf.prediction.large, unet_tf.serving.server
import unet_tf.training.train

def next_one(line):
    '''The code that this process, forked for it, has to run; the server itself never comes back from here.'''
    while True:
        message, given, *_ = socket.recv_fds(line, 1 << 20, 4)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not message:
            os._exit(0)
        if os.fork():
            for one in given:
                os.close(one)
            continue
        line.close()
        *streams, said = given
        pid = os.fork()
        if pid:  # waits for the process, and tells of its end
            for one in streams:
                os.close(one)
            os.write(said, f'{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\\n'.encode())
            os._exit(0)
        os.setsid()
        os.write(said, f'{os.getpid()}\\n'.encode())
        os.close(said)
        for number, one in enumerate(streams):
            os.dup2(one, number)
            os.close(one)
        asked = json.loads(message)
        os.environ.clear()
        os.environ.update(asked['env'])
        os.chdir(asked['folder'])
        sys.argv[1:] = asked['arguments']
        return asked['code']

gc.collect()
gc.freeze()  # memory that no collection of garbage looks at is not copied
exec(next_one(socket.socket(fileno=int(sys.argv[1]))), {'__name__': '__main__'})
"""


@cache
def _server():
    """The line to the process that forks, started once."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-c", SERVER, str(theirs.fileno())]
        process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}, start_new_session=True
        )

    def end():
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


class Forked:
    """As much of `subprocess.Popen` as the tests want of `python -c code arguments`; what is written is text."""

    def __init__(self, code, *arguments, stdin=None, stdout=None, stderr=None, env=None, folder=None):
        self.returncode, self._given = None, []
        self.stdin, self.stdout, self.stderr = self._stream(0, stdin), self._stream(1, stdout), self._stream(2, stderr)
        said, saying = os.pipe()
        self._said = os.fdopen(said, "rb", buffering=0)
        asked = {"code": code, "arguments": [*map(str, arguments)], "folder": str(folder or Path.cwd())}
        asked["env"] = dict(os.environ if env is None else env)
        socket.send_fds(_server(), [json.dumps(asked).encode()], [*self._given, saying])
        for one in (*self._given, saying):
            os.close(one)
        self.pid = int(self._said.readline())

    def _stream(self, number, asked):
        """Our end of one of its three streams, where there is one; its own is kept, to be given to it."""
        if asked == subprocess.PIPE:
            ends = os.pipe()
            self._given.append(ends[number > 0])
            return os.fdopen(ends[number == 0], "r" if number else "w", buffering=1)
        if asked == subprocess.STDOUT:
            self._given.append(os.dup(self._given[1]))
        elif asked is None or asked == subprocess.DEVNULL:
            self._given.append(os.open(os.devnull, os.O_RDWR))
        else:
            self._given.append(os.dup(asked.fileno()))
        return None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for file in (self.stdin, self.stdout, self.stderr):
            if file is not None:
                file.close()
        self.wait()

    def poll(self):
        """Its exit code, as of `Popen`; None while it runs."""
        if self.returncode is None and select.select([self._said], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout=None):
        """Its exit code, once it has ended."""
        if self.returncode is None:
            if not select.select([self._said], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("forked", timeout)
            self.returncode = int(self._said.readline())
            self._said.close()
        return self.returncode

    def communicate(self, timeout=None):
        """What it writes until it ends, or is ended after so many seconds: of the one stream that is a pipe."""
        timer = threading.Timer(timeout or 3600, self.kill)
        timer.start()
        (file,) = (one for one in (self.stdout, self.stderr) if one is not None)
        with file:
            words = file.read()
        self.wait()
        timer.cancel()
        return (words, None) if file is self.stdout else (None, words)

    def send_signal(self, number):
        """Send it a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self):
        """Send it SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self):
        """Send it SIGKILL."""
        self.send_signal(signal.SIGKILL)
