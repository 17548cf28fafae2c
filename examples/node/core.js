#!/usr/bin/env node
// A helpdesk core in one file: makes tickets of what customers write at X, and answers the first message of each.
//
// Tickets live in memory here. What a real core keeps in its database is named where it comes up.
"use strict";

const amqp = require("amqplib");

const URL = process.env.AMQP_URL ?? "amqp://guest:guest@127.0.0.1:5672/%2f";
const EVENTS = "twitter.events";
const COMMANDS = "twitter.commands";
const SILENCE = 600_000; // ms without outcome or `command.deferred` until a command is sent again

// Messages have a queue of their own, so that a thousand posts do not make them wait. Every event fits exactly one.
// `prefetch` is what is unacknowledged at a time: a message waits for one post at most.
const QUEUES = {
  "example.node.messages": {
    patterns: ["*.*.direct_message.*", "*.*.encrypted_message.*", "command.#", "account.#"],
    prefetch: 20,
  },
  "example.node.posts": { patterns: ["*.*.post.*"], prefetch: 1 },
};

const seen = new Set(); // ids of events that are done: a unique index on event.id in a database
const tickets = new Map(); // "account id/case id" -> ticket
const waiting = new Map(); // command id -> {command, due}: a column of the answer in a database

const ticketKey = (event) => `${event.account.id}/${event.conversation.case_id}`;

// A quorum queue that loses nothing, with a place for what could not be worked on.
async function declare(channel, queue, patterns) {
  const dead = `${queue}.dead`;
  await channel.assertExchange(dead, "fanout", { durable: true });
  await channel.assertQueue(dead, { durable: true, arguments: { "x-queue-type": "quorum" } });
  await channel.bindQueue(dead, dead, "");
  await channel.assertQueue(queue, {
    durable: true,
    arguments: {
      "x-queue-type": "quorum",
      "x-delivery-limit": 20,
      "x-dead-letter-exchange": dead,
      "x-dead-letter-strategy": "at-least-once",
      "x-overflow": "reject-publish",
    },
  });
  for (const pattern of patterns) await channel.bindQueue(queue, EVENTS, pattern);
}

// Ends once the broker has the command on disk, or fails. Sent twice, it is carried out once.
async function send(channel, command) {
  channel.publish(COMMANDS, COMMANDS, Buffer.from(JSON.stringify(command)), {
    messageId: command.command_id,
    contentType: "application/json",
    persistent: true,
  });
  await channel.waitForConfirms();
  waiting.set(command.command_id, { command, due: Date.now() + SILENCE });
}

async function received(event, channel) {
  const { message } = event;
  const known = tickets.get(ticketKey(event));
  if (known) {
    known.messages.set(message.original_id, message.text);
    console.log(`ticket ${known.number}: @${message.author.username} adds: ${message.summary}`);
    return;
  }
  // The ticket waits for the command, so that a failure on the way leaves no half of it.
  const number = tickets.size + 1;
  if (mayAnswer(event)) await send(channel, answer(event, number));
  tickets.set(ticketKey(event), { number, messages: new Map([[message.original_id, message.text]]) });
  console.log(`ticket ${number}: @${message.author.username} writes: ${message.summary}`);
}

// No automatic answers to tests, to what is old, or where X would refuse them.
function mayAnswer({ event, reply }) {
  return reply.command && reply.permission !== "REFUSED" && !event.test && !event.backfilled;
}

// The event's own command with an id and a text. The id follows from the event: a repeat makes the same command.
function answer({ event, reply }, number) {
  const command = { ...reply.command, command_id: `answer-${event.id}`, metadata: { ticket: String(number) } };
  const action = command.send_post ?? command.send_direct_message;
  action.text = `Thank you! We are looking into it. (Ticket ${number})`;
  return command;
}

function change(event, text, what) {
  const ticket = tickets.get(ticketKey(event));
  if (!ticket) return;
  ticket.messages.set(event.message.original_id, text);
  console.log(`ticket ${ticket.number}: a message was ${what}`);
}

function settle(event, words) {
  waiting.delete(event.command_id);
  console.log(`ticket ${event.metadata?.ticket ?? "-"}: ${words}`);
}

const HANDLERS = {
  "message.received": received,
  "message.edited": (event) => change(event, event.message.text, "edited"),
  // X's rules want the text out of the helpdesk within a day.
  "message.deleted": (event) => change(event, "[deleted]", "deleted"),
  // Our own words, also those that somebody wrote at X itself.
  "message.sent": (event) => change(event, event.message.text, "sent"),
  "command.succeeded": (event) =>
    settle(event, `answered, ${event.cost_usd} USD: ${event.messages.map(({ url }) => url).join(" ")}`),
  "command.failed": (event) => settle(event, `not answered: ${event.code}: ${event.advice}`),
  "command.deferred": (event) => settle(event, `waits: ${event.code}: ${event.detail}`),
};

// Acknowledges once the work is done: what fails with the connection comes again.
async function handle(channel, delivery) {
  try {
    const event = JSON.parse(delivery.content);
    const { id, type } = event.event;
    // Types of later versions are passed over.
    if (!seen.has(id)) await HANDLERS[type]?.(event, channel);
    seen.add(id); // in a database: in one transaction with the work
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
    console.log(`to the dead letters: ${error.message}`);
    channel.nack(delivery, false, false);
    return;
  }
  channel.ack(delivery);
}

// Until the connection ends.
async function work() {
  const connection = await amqp.connect(URL);
  const ended = new Promise((resolve) => connection.once("close", resolve));
  connection.on("error", (error) => console.log(`the connection: ${error.message}`));
  try {
    const channel = await connection.createConfirmChannel();
    const lost = new Promise((_, reject) => {
      channel.once("error", reject);
      channel.once("close", () => reject(new Error("the channel is closed")));
      ended.then(() => reject(new Error("the connection is closed")));
      // One after the other: two copies of an event must not be worked on at once.
      let last = Promise.resolve();
      const queued = (job) => {
        last = last.then(job).catch(reject);
      };
      const clock = setInterval(() => queued(() => sendAgain(channel)), 10_000);
      ended.then(() => clearInterval(clock));
      consume(channel, queued).catch(reject);
    });
    await lost;
  } finally {
    await connection.close().catch(() => {}); // it may be closed already
  }
}

async function consume(channel, queued) {
  for (const [queue, { patterns, prefetch }] of Object.entries(QUEUES)) {
    await declare(channel, queue, patterns);
    await channel.prefetch(prefetch); // for the consumer that follows
    // Without a delivery the broker has cancelled the consumer: its queue is gone.
    await channel.consume(queue, (delivery) =>
      queued(() => (delivery ? handle(channel, delivery) : Promise.reject(new Error(`${queue} is gone`)))),
    );
  }
  console.log("ready");
}

async function sendAgain(channel) {
  for (const { command, due } of waiting.values()) if (due < Date.now()) await send(channel, command);
}

async function main() {
  process.once("SIGTERM", () => process.exit(0));
  for (;;) {
    await work().catch((error) => console.log(`connection lost: ${error.message}`));
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

main();
