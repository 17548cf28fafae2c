"""The least service that could do the same, as one would write it in Python: FastAPI and aio-pika.

What it does is what ../bare.rs does, and answers challenges (CRC). LISTEN, AMQP_URL, SECRET and WORKERS tell how.
"""

import base64
import hashlib
import hmac
import os
import socket
import threading
from contextlib import asynccontextmanager

import aio_pika
import uvicorn
from fastapi import FastAPI, Request, Response

EXCHANGE = "twitter.events"
ROUTING_KEY = "message.received.post.2305278770"
SECRET = os.environ["SECRET"].encode()


def sign(text: bytes) -> str:
    return "sha256=" + base64.b64encode(hmac.digest(SECRET, text, hashlib.sha256)).decode()


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with await aio_pika.connect(os.environ["AMQP_URL"]) as connection:
        # What no queue takes is an error, as what the broker refuses.
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        app.state.exchange = await channel.get_exchange(EXCHANGE, ensure=False)
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/readyz")
async def ready() -> Response:
    return Response()


@app.get("/webhooks/twitter/{name}")
async def challenge(name: str, crc_token: str) -> dict:
    return {"response_token": sign(crc_token.encode())}


@app.post("/webhooks/twitter/{name}")
async def deliver(name: str, request: Request) -> Response:
    body = await request.body()
    given = request.headers.get("x-twitter-webhooks-signature", "")
    if not hmac.compare_digest(given.encode(), sign(body).encode()):
        return Response(status_code=401)
    message = aio_pika.Message(
        body, content_type="application/json", delivery_mode=aio_pika.DeliveryMode.PERSISTENT
    )
    try:
        await app.state.exchange.publish(message, ROUTING_KEY, mandatory=True)
    except aio_pika.exceptions.AMQPError:
        return Response(status_code=503)
    return Response()


def end_with(parent: int) -> None:
    """Ends this process with its parent, however that ends: nobody writes into the pipe."""
    os.read(parent, 1)
    os._exit(0)


def main() -> None:
    host, port = os.environ["LISTEN"].split(":")
    listener = socket.create_server((host, int(port)), backlog=1024)
    parent, alive = os.pipe()
    for _ in range(int(os.environ["WORKERS"]) - 1):
        if os.fork() == 0:
            os.close(alive)
            threading.Thread(target=end_with, args=(parent,), daemon=True).start()
            break
    config = uvicorn.Config(app, log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
