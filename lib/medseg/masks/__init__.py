"""Operations on binary masks; no framework."""
