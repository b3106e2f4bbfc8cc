"""A house that is not there: rooms with proxies, sensors, plants, neighbours' phones, and the truth about all of it.

A seed goes in; real nodes on loopback come out (:class:`~proxy_listener.simulator.house.House`), or the same house by
virtual time (:mod:`~support.virtual_time`). Nothing outside this room and the tests knows that it exists,
but the ``demo`` verb.
"""
