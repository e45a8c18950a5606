"""The only caller of workflows: it starts cases, tells them what happened, and turns their effects into rows."""
