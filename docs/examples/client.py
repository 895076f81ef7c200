#!/usr/bin/env python3
"""A client of the hub in another language, by docs/protocol.md alone. It has no sound: its descriptions are words.

    APIKEY=ik_… client.py ws://127.0.0.1:8443/v1/ws demo kiosk_1                  waits, answers a call, and hangs up
    APIKEY=ik_… client.py ws://127.0.0.1:8443/v1/ws demo kiosk_2 kiosk_1          calls kiosk_1

It prints the result of the call as JSON and ends. Needs Debian's python3-websockets.
"""
import asyncio
import json
import os
import secrets
import sys

import websockets


class Client:
    def __init__(self, socket):
        self.socket, self.ids, self.seq, self.heard = socket, 0, 0, 0

    async def say(self, kind, call=None, body=None, request=False):
        message = {"t": kind}
        if request:
            self.ids += 1
            message["id"] = self.ids
        if call:  # messages about a call are numbered
            self.seq += 1
            message["seq"], message["call"] = self.seq, call
        if self.heard:
            message["ack"] = self.heard
        if body is not None:
            message["b"] = body
        await self.socket.send(json.dumps(message))

    async def hear(self):
        while True:
            message = json.loads(await asyncio.wait_for(self.socket.recv(), 20))
            seq = message.get("seq", 0)
            if seq and seq <= self.heard:
                continue  # it came before
            self.heard = max(self.heard, seq)
            if message["t"] == "error":
                sys.exit("%s: %s" % (message["b"]["code"], message["b"]["message"]))
            return message

    async def ping(self):
        while True:
            await asyncio.sleep(15)
            await self.say("ping", request=True)


# The hello has the key: it goes to this hub, and nowhere that a redirect leads to.
websockets.connect.MAX_REDIRECTS_ALLOWED = 1


async def main(url, account, cuid, to=None):
    async with websockets.connect(url, subprotocols=["intercom.v1"]) as socket:
        me = Client(socket)
        assert (await me.hear())["t"] == "challenge"
        await me.say("hello", body={"account": account, "apikey": os.environ["APIKEY"], "cuid": cuid,
                                    "instance": secrets.token_hex(16), "agent": "client.py"}, request=True)
        assert (await me.hear())["t"] == "welcome"
        print("signed in", file=sys.stderr, flush=True)
        pings = asyncio.create_task(me.ping())
        call = secrets.token_hex(16)
        if to:
            await me.say("call.invite", call, {"to": to, "context": "From Python"}, request=True)
        while True:
            message = await me.hear()
            kind = message["t"]
            if kind == "call.incoming":
                call = message["call"]
                await me.say("call.ringing", call, {"sdp": "an offer"})
            elif kind == "call.ringing":
                await me.say("call.sdp", call, {"sdp": "an answer to %s" % message["b"]["sdp"]})
            elif kind == "call.sdp":
                assert message["b"]["sdp"] == "an answer to an offer"
                await me.say("call.answer", call, request=True)
            elif kind == "call.answered" and not to:
                await me.say("call.hangup", call, {"reason": "hangup"}, request=True)
            elif kind == "call.ended":
                print(json.dumps(message["b"]))
                pings.cancel()
                await me.say("bye")
                return


asyncio.run(main(*sys.argv[1:]))
