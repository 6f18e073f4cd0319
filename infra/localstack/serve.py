"""Runs LocalStack on loopback alone.

By itself it listens on every address, whatever the host of GATEWAY_LISTEN is
(localstack/runtime/server/twisted.py: "TODO: interface = host?").
"""

import functools
import runpy

from twisted.internet import endpoints

endpoints.TCP4ServerEndpoint = functools.partial(endpoints.TCP4ServerEndpoint, interface="127.0.0.1")
runpy.run_module("localstack.runtime.main", run_name="__main__")
