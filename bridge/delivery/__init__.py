"""Delivery: claim what is due, call the connector, record what came of it.

::

    intake ──leased as it was stored──▶ Lane (fresh) ─┐
                                                      ├─▶ threads ─▶ bridge_deliver ─▶ Judge ─▶ store
    Dispatcher ──claims what is due───▶ Lane (backlog)┘
"""
