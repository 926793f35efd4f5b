// Run the signature "encoded" of a SavedModel by the loader that TF Serving uses.
// saved_model MODEL PICTURE... > masks, one PNG file after the other
#include <fstream>
#include <iostream>
#include <iterator>

#include "tensorflow/cc/saved_model/loader.h"

int main(int argc, char **argv) {
  tensorflow::SavedModelBundle bundle;
  auto status = tensorflow::LoadSavedModel({}, {}, argv[1], {"serve"}, &bundle);
  if (!status.ok()) return std::cerr << status << std::endl, 1;

  tensorflow::Tensor pictures(tensorflow::DT_STRING, {argc - 2});
  for (int i = 2; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    pictures.flat<tensorflow::tstring>()(i - 2) = std::string(std::istreambuf_iterator<char>(file), {});
  }
  const auto &signature = bundle.GetSignatures().at("encoded");
  std::vector<tensorflow::Tensor> masks;
  status = bundle.GetSession()->Run({{signature.inputs().at("image_bytes").name(), pictures}},
                                    {signature.outputs().at("mask_bytes").name()}, {}, &masks);
  if (!status.ok()) return std::cerr << status << std::endl, 1;
  for (int i = 0; i < argc - 2; ++i) std::cout << std::string(masks[0].flat<tensorflow::tstring>()(i));
}
