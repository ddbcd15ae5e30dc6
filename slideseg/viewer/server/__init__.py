"""The small server of the pages: who may ask, and what is answered about a result and about many."""
