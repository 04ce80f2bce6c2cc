# infra/hub.yaml for people who use Terraform: the same template, so that there is one to review. The functions are
# `make package`'s, and take the outputs. docs/deploying.md

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "stack_name" {
  type        = string
  default     = "daypass-prod-hub"
  description = "The name of the stack"
}

variable "stage" {
  type        = string
  default     = "prod"
  description = "In the name of everything; as STAGE of make package"
}

variable "administrators" {
  type        = string
  description = "The ARN of the role that deploys this stack and looks after its keys; * stands for any characters, as in arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/*/AWSReservedSSO_Administrator_*"
}

variable "api_stack" {
  type        = string
  default     = "daypass-prod-api"
  description = "The name of the functions' stack; its digest function signs with the digest key"
}

variable "retention" {
  type        = number
  default     = 400
  description = "Days for which nothing in the ledger's bucket can be deleted"
}

variable "retention_mode" {
  type        = string
  default     = "GOVERNANCE"
  description = "COMPLIANCE binds everybody, the account's root and AWS too, and cannot be taken back"
}

variable "identity_store" {
  type        = string
  default     = ""
  description = "The identity store that the catalogue's directories name. Empty - none"
}

variable "directory_functions" {
  type        = list(string)
  default     = []
  description = "ARNs of the Lambda functions that they name"
}

resource "aws_cloudformation_stack" "this" {
  name          = var.stack_name
  template_body = file("${path.module}/../../hub.yaml")
  capabilities  = ["CAPABILITY_NAMED_IAM"]
  parameters = {
    Stage              = var.stage
    Administrators     = var.administrators
    ApiStack           = var.api_stack
    Retention          = tostring(var.retention)
    RetentionMode      = var.retention_mode
    IdentityStore      = var.identity_store
    DirectoryFunctions = join(",", var.directory_functions)
  }
}

output "outputs" {
  value       = aws_cloudformation_stack.this.outputs
  description = "What the stack tells"
}
