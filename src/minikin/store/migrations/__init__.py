"""Changes of the database from version to version, as revisions of Alembic.

A published revision never changes. A new one follows it, and `database.py` names the newest.
"""
