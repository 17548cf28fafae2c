#!/usr/bin/env ruby
# frozen_string_literal: true

# A helpdesk core in one file: makes tickets of what customers write at X, and answers the first message of each.
#
# Tickets live in memory here. What a real core keeps in its database is named where it comes up.

require 'bunny'
require 'json'
require 'logger'

$stdout.sync = true

URL = ENV.fetch('AMQP_URL', 'amqp://guest:guest@127.0.0.1:5672/%2f')
EVENTS = 'twitter.events'
COMMANDS = 'twitter.commands'
SILENCE = 600 # seconds without outcome or `command.deferred` until a command is sent again

# Messages have a queue of their own, so that a thousand posts do not make them wait. Every event fits exactly one.
# `prefetch` is what is unacknowledged at a time: a message waits for one post at most.
QUEUES = {
  'example.ruby.messages' => {
    bind: %w[*.*.direct_message.* *.*.encrypted_message.* command.# account.#], prefetch: 20
  },
  'example.ruby.posts' => { bind: %w[*.*.post.*], prefetch: 1 }
}.freeze

# What comes from the broker, for one thread to work on: deliveries, faults of the connection, ticks of a clock.
ARRIVED = Thread::Queue.new

# Bunny reports a lost connection here, from a thread of its own.
class Faults
  def raise(error)
    ARRIVED << error
  end
end

# Tickets, and what becomes of them.
class Helpdesk
  def initialize
    @seen = {}    # ids of events that are done: a unique index on event.id in a database
    @tickets = {} # [account id, case id] => ticket
    @waiting = {} # command id => [command, when to send it again]: a column of the answer in a database
  end

  # `send` puts a command on the queue, and returns once the broker has it on disk.
  def handle(body, send)
    event = JSON.parse(body)
    id = event.fetch('event').fetch('id')
    work_on(event, send) unless @seen[id]
    @seen[id] = true # in a database: in one transaction with the work
  end

  # A core that hears nothing of a command sends it again: it is carried out once.
  def send_again(send)
    due = @waiting.values.select { |_command, at| at < now }
    due.each { |command, _at| dispatch(command, send) }
  end

  private

  def work_on(event, send)
    case event['event']['type']
    when 'message.received' then received(event, send)
    when 'message.edited' then change(event, event['message']['text'], 'edited')
    # X's rules want the text out of the helpdesk within a day.
    when 'message.deleted' then change(event, '[deleted]', 'deleted')
    # Our own words, also those that somebody wrote at X itself.
    when 'message.sent' then change(event, event['message']['text'], 'sent')
    when 'command.succeeded' then succeeded(event)
    when 'command.failed' then settle(event, "not answered: #{event['code']}: #{event['advice']}")
    when 'command.deferred' then settle(event, "waits: #{event['code']}: #{event['detail']}")
    end # types of later versions are passed over
  end

  def received(event, send)
    message = event['message']
    name = message['author']['username']
    if (ticket = @tickets[key(event)])
      ticket[:messages][message['original_id']] = message['text']
      puts "ticket #{ticket[:number]}: @#{name} adds: #{message['summary']}"
      return
    end
    # The ticket waits for the command, so that a failure on the way leaves no half of it.
    number = @tickets.size + 1
    dispatch(answer(event, number), send) if may_answer?(event)
    @tickets[key(event)] = { number: number, messages: { message['original_id'] => message['text'] } }
    puts "ticket #{number}: @#{name} writes: #{message['summary']}"
  end

  def key(event)
    [event['account']['id'], event['conversation']['case_id']]
  end

  # No automatic answers to tests, to what is old, or where X would refuse them.
  def may_answer?(event)
    reply = event['reply']
    about = event['event']
    reply['command'] && reply['permission'] != 'REFUSED' && !about['test'] && !about['backfilled']
  end

  # The event's own command with an id and a text. The id follows from the event: a repeat makes the same command.
  def answer(event, number)
    command = event['reply']['command']
    command['command_id'] = "answer-#{event['event']['id']}"
    command['metadata'] = { 'ticket' => number.to_s }
    action = command['send_post'] || command['send_direct_message']
    action['text'] = "Thank you! We are looking into it. (Ticket #{number})"
    command
  end

  def dispatch(command, send)
    send.call(command)
    @waiting[command['command_id']] = [command, now + SILENCE]
  end

  def change(event, text, what)
    return unless (ticket = @tickets[key(event)])

    ticket[:messages][event['message']['original_id']] = text
    puts "ticket #{ticket[:number]}: a message was #{what}"
  end

  def succeeded(event)
    links = event['messages'].map { |message| message['url'] }.join(' ')
    settle(event, "answered, #{event['cost_usd']} USD: #{links}")
  end

  def settle(event, words)
    @waiting.delete(event['command_id'])
    puts "ticket #{event.dig('metadata', 'ticket') || '-'}: #{words}"
  end

  def now
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end
end

# A quorum queue that loses nothing, with a place for what could not be worked on.
def consume(session, name, bind:, prefetch:)
  channel = session.create_channel
  channel.prefetch(prefetch)
  dead = channel.fanout("#{name}.dead", durable: true)
  channel.queue("#{name}.dead", durable: true, arguments: { 'x-queue-type' => 'quorum' }).bind(dead)
  arguments = { 'x-queue-type' => 'quorum', 'x-delivery-limit' => 20, 'x-dead-letter-exchange' => dead.name,
                'x-dead-letter-strategy' => 'at-least-once', 'x-overflow' => 'reject-publish' }
  queue = channel.queue(name, durable: true, arguments: arguments)
  bind.each { |pattern| queue.bind(EVENTS, routing_key: pattern) }
  queue.subscribe(manual_ack: true) { |delivery, _properties, body| ARRIVED << [channel, delivery, body] }
end

# Puts commands on the queue, persistent and confirmed. Sent twice, a command is carried out once.
def sender(session)
  channel = session.create_channel
  channel.confirm_select
  commands = Bunny::Exchange.new(channel, :direct, COMMANDS, no_declare: true)
  lambda do |command|
    commands.publish(JSON.generate(command), routing_key: COMMANDS, message_id: command['command_id'],
                                             content_type: 'application/json', persistent: true)
    raise Bunny::ConnectionClosedError, 'the broker refused a command' unless channel.wait_for_confirms
  end
end

# Acknowledges once the work is done: what fails with the connection comes again.
def work_on(helpdesk, send, channel, delivery, body)
  helpdesk.handle(body, send)
  channel.ack(delivery.delivery_tag)
rescue JSON::ParserError, KeyError, NoMethodError, TypeError => e
  puts "to the dead letters: #{e.class}"
  channel.reject(delivery.delivery_tag, false)
end

# Until the connection ends.
def work(helpdesk)
  ARRIVED.clear
  session = Bunny.new(URL, automatically_recover: false, recover_from_connection_close: false,
                           continuation_timeout: 5000, session_error_handler: Faults.new, logger: Logger.new(nil))
  session.start
  send = sender(session)
  QUEUES.each { |name, options| consume(session, name, **options) }
  puts 'ready'
  while (arrived = ARRIVED.pop)
    case arrived
    when Exception then raise arrived
    when :tick then helpdesk.send_again(send)
    else work_on(helpdesk, send, *arrived)
    end
  end
end

trap('TERM') { exit }
helpdesk = Helpdesk.new
Thread.new { loop { sleep 10 and ARRIVED << :tick } }
loop do
  work(helpdesk)
rescue Bunny::Exception, IOError, SystemCallError, Timeout::Error => e
  puts "connection lost: #{e.class}: #{e.message}"
  sleep 2
end
