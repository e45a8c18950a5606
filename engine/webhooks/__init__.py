"""Webhooks: events owed to endpoints become signed posts, in order for each subject, until the table is through."""
