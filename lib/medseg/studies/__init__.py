"""The studies: what knows one public layout, one anatomy or one report; no study imports another."""
