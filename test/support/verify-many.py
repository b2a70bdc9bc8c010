"""Runs the independent verifier once for each line of standard input, in one process: the packages that it needs take
longer to load than a small archive to judge. A line is a JSON list of arguments; the answer to it, one line too, holds
exit status and output as a process of its own would have had them."""

import contextlib
import importlib.util
import io
import json
import sys
import traceback


def load(path):
    spec = importlib.util.spec_from_file_location("hooktrail_verify", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(verifier, path, arguments):
    out, err = io.StringIO(), io.StringIO()
    sys.argv = [path, *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = verifier.main()
        except SystemExit as end:
            status = end.code
        except Exception:
            traceback.print_exc()
            status = 1
    return {"status": status, "stdout": out.getvalue(), "stderr": err.getvalue()}


def main():
    path = sys.argv[1]
    verifier = load(path)
    for line in sys.stdin:
        print(json.dumps(run(verifier, path, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
