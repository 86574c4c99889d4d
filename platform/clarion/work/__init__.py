"""What happens later: outbox, jobs, schedule, incoming webhooks."""
