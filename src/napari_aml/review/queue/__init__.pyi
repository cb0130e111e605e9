from .orders import DEFAULT, ORDERS, Order, rank, rank_steps
from .pool import Pool
from .ranking import Ranking

__all__ = ["DEFAULT", "ORDERS", "Order", "Pool", "Ranking", "rank", "rank_steps"]
