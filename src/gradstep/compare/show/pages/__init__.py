"""Parts that all HTML pages share: the frame, the macros, charts as Plotly dicts, and their still pictures."""
