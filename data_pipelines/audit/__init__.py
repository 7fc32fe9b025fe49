"""What is wrong or odd in a data set: every image read once (`survey`), judged (`findings`) and shown on sheets."""
