"""What full fine-tuning takes of memory, beside what the plan counts."""
