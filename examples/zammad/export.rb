# Writes what the tickets of Zammad's old Twitter channel are, as `twitter-channel threads import` reads it:
#   zammad run rails runner "$PWD/export.rb" > old.csv
# It only reads. Where it finds things: an article's message_id is the id of the post or message at X; a ticket's
# preferences name the account (channel_screen_name); Authorization has the X ids of customers.
require 'csv'

POST, DIRECT = ['twitter status', 'twitter direct-message'].map { |name| Ticket::Article::Type.find_by(name:)&.id }
CUSTOMER     = Ticket::Article::Sender.find_by(name: 'Customer').id
ACCOUNTS     = Channel.where(area: 'Twitter::Account').to_h do |channel|
  user = channel.options[:user]
  [user[:screen_name].downcase, user[:id].to_s]
end

def x_id(user_id)
  Authorization.find_by(provider: 'twitter', user_id:)&.uid
end

# What a ticket's articles at X have in common.
def old_ticket(ticket, articles, account)
  root     = articles.find { |article| article.type_id == POST }
  customer = x_id(ticket.customer_id)
  articles.each do |article|
    from_customer = article.sender_id == CUSTOMER
    author        = from_customer ? x_id(article.created_by_id) : account
    received_at   = from_customer ? article.created_at.utc.iso8601 : nil
    if article.type_id == POST
      conversation, post = "post:#{root.message_id}", article.message_id
    else
      next if customer.blank?

      conversation, post = "dm:#{[account, customer].map(&:to_i).sort.join('-')}", nil
    end
    yield [ticket.id, account, conversation, post, author, customer, ticket.group.name, received_at]
  end
end

puts %w[ticket account conversation post author customer group received_at].to_csv
Ticket.where(create_article_type_id: [POST, DIRECT].compact).find_each do |ticket|
  account = ACCOUNTS[ticket.preferences[:channel_screen_name].to_s.downcase]
  if account.nil?
    warn "ticket #{ticket.id}: its account #{ticket.preferences[:channel_screen_name].inspect} has no channel any more"
    next
  end
  articles = ticket.articles.where(type_id: [POST, DIRECT].compact).where.not(message_id: [nil, '']).order(:id).to_a
  old_ticket(ticket, articles, account) { |row| puts row.to_csv }
end
