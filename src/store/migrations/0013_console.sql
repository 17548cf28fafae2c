-- What the console lists: no list may go through bodies.

-- The messages of a conversation, by time.
CREATE INDEX journal_correlation ON journal (correlation_id, sequence);

-- Conversations, by when something was last received in them.
CREATE INDEX conversations_received ON conversations (received_at)
  WHERE received_at IS NOT NULL AND survivor IS NULL;

-- Commands of a conversation, and in a state.
CREATE INDEX commands_conversation ON commands (conversation, sequence) WHERE conversation <> '';
CREATE INDEX commands_state ON commands (state, sequence);
