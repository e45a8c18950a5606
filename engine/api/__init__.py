"""The HTTP contract: routes on one frozen context, problems as RFC 9457, OpenAPI as part of the product.

`app.build_app` makes the ASGI application, `operations.build_operations` that of the operations listener, and
`server.serve` runs either on trio. Nothing here decides what a conversation does.
"""
