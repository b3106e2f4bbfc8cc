"""A simulated house: rooms with proxies, sensors, plants and phones, and the ground truth of what they sent.

A seed goes in; real nodes on loopback come out (:class:`~proxy_listener.simulator.house.House`). Only the ``demo`` verb
and the tests use it.
"""
