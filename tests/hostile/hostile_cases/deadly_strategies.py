"""Strategies that end their process, fill its memory, or never come to an end."""

from __future__ import annotations

from hostile_cases.strategy_files import CLASS, HEAD

HONEST = "return ctx.pick(torch.arange(ctx.budget))"
IMPORTS = "import ctypes, os, signal, subprocess, sys, threading, time\n"
ENDS: dict[str, tuple[str, str]] = {
    "os._exit(0)": ("os._exit(0)", "ended with exit code 0"),
    "os._exit(1)": ("os._exit(1)", "ended with exit code 1"),
    "os._exit(2)": ("os._exit(2)", "ended with exit code 2"),
    "SIGKILL": ("os.kill(os.getpid(), 9)", "was ended by SIGKILL, most often for lack of memory"),
    "SIGABRT": ("os.abort()", "was ended by SIGABRT"),
    "SIGALRM": ("signal.alarm(1); time.sleep(600)", "was ended by SIGALRM"),
    "a null pointer": ("ctypes.string_at(0)", "was ended by SIGSEGV"),
    "an end while a thread works": (
        "threading.Thread(target=time.sleep, args=(600,)).start(); os._exit(0)",
        "ended with exit code 0",
    ),
    "an end while a child works": ("os.fork() or time.sleep(5); os._exit(0)", "ended with exit code 0"),
    "an end of all files": ("os.closerange(0, 1000); os._exit(0)", "ended with exit code 0"),
}
"""What `select` does, and how its process ends."""
RAISES: dict[str, tuple[str, tuple[str, ...]]] = {
    "a list without end": ("return [0] * 10**15", ("mine.py", "MemoryError")),
    "an array of petabytes": ("return np.ones(10**15)", ("mine.py", "Unable to allocate")),
    "a tensor of petabytes": ("return torch.ones(10**15)", ("mine.py", "memory")),
    "a text without end": ("return 'a' * 10**18", ("mine.py", "MemoryError")),
    "a number without end": ("return str(10**10**5)", ("mine.py", "digits")),
    "recursion": ("return self.select(ctx)", ("mine.py", "RecursionError")),
    "GeneratorExit": ("raise GeneratorExit", ("mine.py", "GeneratorExit")),
    "a BaseException": ("raise BaseException('sorry')", ("mine.py", "sorry")),
    "an exception of its own": ("raise type('Stop', (BaseException,), {})('sorry')", ("mine.py", "Stop: sorry")),
    "a handler of an alarm": (
        "signal.signal(14, lambda *_: 1 / 0); signal.alarm(1); time.sleep(600)",
        ("mine.py", "ZeroDivisionError"),
    ),
    "an exception that cannot be shown": (
        "raise type('Mute', (Exception,), {'__str__': lambda self: 1 / 0})()",
        ("mine.py", "Mute"),
    ),
    "an exception without end": ("raise ValueError('a' * 10**7)", ("mine.py", "ValueError")),
    "an exception of another color": ("raise ValueError('\\x1b[31mred\\x00')", ("mine.py", "red")),
    "threads without end": (
        "[threading.Thread(target=time.sleep, args=(600,)).start() for _ in range(50)]; raise ValueError('sorry')",
        ("mine.py", "sorry"),
    ),
    "an ignored SIGTERM": ("signal.signal(15, signal.SIG_IGN); raise ValueError('sorry')", ("mine.py", "sorry")),
}
"""What `select` does, and words of the one line."""
HARMLESS = {
    "a thread without end": "threading.Thread(target=time.sleep, args=(600,)).start()",
    "a thread that works without end": "threading.Thread(target=lambda: [None for _ in iter(int, 1)]).start()",
    "an ignored SIGTERM": "signal.signal(15, signal.SIG_IGN)",
    "a child without end": "subprocess.Popen(['sleep', '600'], start_new_session=True)",
    "no standard output": "sys.stdout = sys.stderr = None",
    "another folder": "os.chdir('/')",
    "a frozen clock": "time.monotonic = time.perf_counter = time.time = lambda: 0.0",
}
"""What `select` does before it picks as it should."""
ENDLESS = {
    "a loop": "while True: pass",
    "a loop in C": "sum(iter(int, 1))",
    "a loop that catches all": "f = lambda: None\n        while True:\n            try: time.sleep(1)\n            except BaseException: pass",
    "a lock that nobody opens": "threading.Semaphore(0).acquire()",
    "sleep, and SIGTERM ignored": "signal.signal(15, signal.SIG_IGN); time.sleep(600)",
}
"""What `select` does until it is stopped."""


def code(body: str, before: str = "") -> str:
    """The file of a strategy."""
    return IMPORTS + HEAD + before + CLASS.format(name="mine", body=body)
