// The least service that could do the same, as one would write it in Node: express and amqplib. What it does is
// what ../bare.rs does, and answers challenges (CRC). LISTEN, AMQP_URL, SECRET and WORKERS tell how.
"use strict";

const cluster = require("node:cluster");
const { createHmac, timingSafeEqual } = require("node:crypto");
const amqp = require("amqplib");
const express = require("express");

const { LISTEN, AMQP_URL, SECRET, WORKERS } = process.env;
const EXCHANGE = "twitter.events";
const ROUTING_KEY = "message.received.post.2305278770";
const OPTIONS = { persistent: true, mandatory: true, contentType: "application/json" };

const sign = (text) => `sha256=${createHmac("sha256", SECRET).update(text).digest("base64")}`;

function hasSigned(request) {
  const given = Buffer.from(request.get("x-twitter-webhooks-signature") ?? "");
  const expected = Buffer.from(sign(request.body));
  return given.length === expected.length && timingSafeEqual(given, expected);
}

async function serve() {
  const connection = await amqp.connect(AMQP_URL);
  const channel = await connection.createConfirmChannel();
  // A message that no queue takes is returned before it is confirmed.
  let returned = 0;
  channel.on("return", () => (returned += 1));
  const publish = (body) =>
    new Promise((resolve, reject) => {
      const before = returned;
      channel.publish(EXCHANGE, ROUTING_KEY, body, OPTIONS, (error) =>
        error || returned !== before ? reject(error ?? new Error("returned")) : resolve(),
      );
    });

  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.get("/readyz", (_request, response) => response.end());
  app.get("/webhooks/twitter/:app", (request, response) =>
    response.json({ response_token: sign(String(request.query.crc_token)) }),
  );
  app.post("/webhooks/twitter/:app", express.raw({ type: () => true, limit: "1mb" }), async (request, response) => {
    if (!hasSigned(request)) return response.status(401).end();
    try {
      await publish(request.body);
      response.end();
    } catch {
      response.status(503).end();
    }
  });
  const [host, port] = LISTEN.split(":");
  app.listen(Number(port), host);
}

if (cluster.isPrimary) {
  for (let worker = 0; worker < Number(WORKERS); worker += 1) cluster.fork();
  // A worker that falls takes all with it: nobody measures half a service.
  cluster.on("exit", () => process.exit(1));
} else {
  serve();
}
