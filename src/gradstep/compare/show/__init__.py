"""How a study is shown: tables, reports, notebooks, exports, and the page to play on."""
