"""Language-model endpoints, and questions and answers about music that they and rules write."""
