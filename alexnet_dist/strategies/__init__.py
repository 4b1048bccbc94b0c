"""The strategies: how a net and its batch are spread over the ranks. Nothing outside branches on a strategy's name.

Each file here is a strategy (zero.py has three): what is known before anything starts. What runs it is an engine, in
`engines/`, put together from what is in `parts/`. Strategies import no torch; engines are loaded when ranks start.
"""
