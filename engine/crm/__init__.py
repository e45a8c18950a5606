"""Customers' own systems: leads are told to their CRM, and what it says of them comes back."""
