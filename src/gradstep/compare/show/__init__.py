"""Views of a study: tables, reports, notebooks, exports, and the page to play on."""
